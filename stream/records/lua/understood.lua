-- Shared by all scripts. text: what a worker understands, as `stream/records/versions.py` writes it. Returns a function
-- that tells whether the worker can process a record with these fields: whether its format and its engine are known.
local function reader(text)
  local known, engines = cjson.decode(text), {}
  for _, name in ipairs(known.engines) do engines[name] = true end
  return function(format, options)
    local engine = options and options ~= '' and cjson.decode(options).engine or 'auto'
    return (tonumber(format or 1) or math.huge) <= known.format and engines[engine] == true
  end
end
