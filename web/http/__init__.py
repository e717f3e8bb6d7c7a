"""HTTP infrastructure: problems, guards, sign-in, signed links, ranges, tus headers, TLS. Knows nothing about video."""
