"""The known weights, their sources and licences, and the verification of their checksums."""
