"""HTTP's own matters: problems, guards, sign-in, signed links, ranges, tus headers, TLS. Knows no video."""
