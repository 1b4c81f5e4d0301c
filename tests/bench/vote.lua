-- What wrk posts: ballots of ever new voters, as their browsers send them.
math.randomseed(os.time())

local before = table.concat({
  "POST " .. wrk.path .. " HTTP/1.1",
  "Host: " .. wrk.host .. ":" .. wrk.port,
  "Origin: " .. wrk.scheme .. "://" .. wrk.host .. ":" .. wrk.port,
  "Sec-Fetch-Site: same-origin",
  "Content-Type: application/x-www-form-urlencoded",
  "Content-Length: 8",
  "Cookie: voter=",
}, "\r\n")
local after = "\r\n\r\nchoice=1"

function request()
  local random = math.random
  return before .. string.format("%08x%08x%08x%08x", random(0, 2^31), random(0, 2^31), random(0, 2^31), random(0, 2^31)) .. after
end
