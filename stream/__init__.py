"""Media input and output, and the records that web and workers share. Imports no torch, engine or web framework."""
