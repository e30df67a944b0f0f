//! What every report must say whatever happened, on random histories, found out without the reports.
