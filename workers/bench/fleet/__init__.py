"""`mattebox bench fleet`: what a large installation costs Redis, with simulated workers and clients without media."""
