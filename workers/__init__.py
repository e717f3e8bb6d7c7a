"""Everything that computes a matte. Imports `stream`; never `web`."""
