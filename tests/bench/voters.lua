-- Requests for wrk: ballots of new voters, as browsers send them, and the given number of page reads for each.
math.randomseed(os.time())

local reads = 0
local sent = 0
local before, after

-- The arguments: how many pages are read for each vote, and the form that is sent.
function init(args)
  reads = tonumber(args[1]) or 0
  local form = args[2] or "choice=1"
  local path = reads > 0 and "/poll/1/vote" or wrk.path
  before = table.concat({
    "POST " .. path .. " HTTP/1.1",
    "Host: " .. wrk.host .. ":" .. wrk.port,
    "Origin: " .. wrk.scheme .. "://" .. wrk.host .. ":" .. wrk.port,
    "Sec-Fetch-Site: same-origin",
    "Content-Type: application/x-www-form-urlencoded",
    "Content-Length: " .. #form,
    "Cookie: polls_voter=",
  }, "\r\n")
  after = "\r\n\r\n" .. form
end

local read = "GET /poll/1/results HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\n\r\n"

function request()
  sent = sent + 1
  if sent % (reads + 1) ~= 0 then
    return read
  end
  local random = math.random
  return before .. string.format("%08x%08x%08x%08x", random(0, 2^31), random(0, 2^31), random(0, 2^31), random(0, 2^31)) .. after
end
