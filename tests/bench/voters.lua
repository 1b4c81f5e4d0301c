-- Requests for wrk: ballots of new voters, as browsers send them, and the given number of page reads for each.
math.randomseed(os.time())

local reads = 0
local sent = 0

function init(args)
  reads = tonumber(args[1]) or 0
end

local read = "GET /poll/1/results HTTP/1.1\r\nHost: " .. wrk.host .. ":" .. wrk.port .. "\r\n\r\n"

local before = table.concat({
  "POST /poll/1/vote HTTP/1.1",
  "Host: " .. wrk.host .. ":" .. wrk.port,
  "Origin: " .. wrk.scheme .. "://" .. wrk.host .. ":" .. wrk.port,
  "Sec-Fetch-Site: same-origin",
  "Content-Type: application/x-www-form-urlencoded",
  "Content-Length: 8",
  "Cookie: polls_voter=",
}, "\r\n")
local after = "\r\n\r\nchoice=1"

function request()
  sent = sent + 1
  if sent % (reads + 1) ~= 0 then
    return read
  end
  local random = math.random
  return before .. string.format("%08x%08x%08x%08x", random(0, 2^31), random(0, 2^31), random(0, 2^31), random(0, 2^31)) .. after
end
