"""Live videos: claimed from Redis, matted together, one device thread for all."""
