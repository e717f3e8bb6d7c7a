-- ARGV: worker, command.
send(ARGV[1], ARGV[2])
