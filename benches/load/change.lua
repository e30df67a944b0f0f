-- Changes, none of which is like another: each gives a grant an expiry of its own. Arguments: credential, nothing, the number of
-- the run.
local here = debug.getinfo(1, "S").source:match("^@(.*/)")
dofile(here .. "found.lua")

local threads = 0

function setup(thread)
  thread:set("number", threads)
  threads = threads + 1
end

function init(args)
  headers = { ["Authorization"] = "Bearer " .. args[1], ["Content-Type"] = "application/json" }
  run = tonumber(args[3])
  sent = 0
end

function request()
  sent = sent + 1
  local seconds = math.floor(sent / 1000000)
  local at = string.format("2999-%02d-%02dT%02d:%02d:%02d.%06dZ", 1 + math.floor(run / 28) % 12, 1 + run % 28, number,
    math.floor(seconds / 60), seconds % 60, sent % 1000000)
  local body = '{"role":"contributor","expires_at":"' .. at .. '"}'
  return wrk.format("PUT", wrk.path .. sent % 100, headers, body)
end
