"""The routes of uploaded videos: uploads, jobs, previews, results, events, webhooks."""
