"""File jobs: tasks claimed from Redis and run in a process of their own."""
