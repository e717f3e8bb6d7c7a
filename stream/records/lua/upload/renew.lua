-- ARGV: upload, writer. Returns whether the writer still has the upload, as 1 or 0.
return holds(ARGV[1], ARGV[2]) and 1 or 0
