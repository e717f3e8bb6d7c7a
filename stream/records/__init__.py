"""The records that web and workers share: options, live sessions and file jobs, and their stores in Redis."""
