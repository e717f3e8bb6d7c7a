"""The media plane, and the contract between web and workers. Imports no torch, no engine and no web framework."""
