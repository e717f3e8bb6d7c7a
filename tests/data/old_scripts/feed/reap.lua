-- No ARGV. Lets other workers take the feeds of lost workers.
release_expired()
