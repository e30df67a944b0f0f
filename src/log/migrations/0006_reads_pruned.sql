-- The journal may be pruned from its oldest read on, and nowhere else. Whoever prunes leaves a record of it in the journal.
DROP TRIGGER audit_reads_are_never_deleted;

CREATE TRIGGER audit_reads_are_pruned_from_the_oldest
BEFORE DELETE ON audit_reads WHEN EXISTS (SELECT 1 FROM audit_reads WHERE sequence < OLD.sequence)
BEGIN SELECT RAISE(ABORT, 'a read is pruned after all that are older'); END;
