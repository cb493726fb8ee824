-- Sends one POST over and over, or one for each key in turn, and prints what came of it as a line of JSON.
-- Arguments: a file with a header a line ("name: value"), a file with the body, and maybe one with a key a line.
local requests, at = {}, 0

local function read(path)
  local file = assert(io.open(path, "rb"))
  local text = file:read("*a")
  file:close()
  return text
end

function init(args)
  wrk.method = "POST"
  wrk.body = read(args[2])
  for line in io.lines(args[1]) do
    local name, value = line:match("^([^:]+): (.*)$")
    wrk.headers[name] = value
  end
  if args[3] then
    for key in io.lines(args[3]) do
      wrk.headers["authorization"] = "Bearer " .. key
      requests[#requests + 1] = wrk.format()
    end
  else
    requests[1] = wrk.format()
  end
end

function request()
  at = at % #requests + 1
  return requests[at]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests":%d,"seconds":%.6f,"p50":%d,"p99":%d,"failed":%d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
