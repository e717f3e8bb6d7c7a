"""What web and workers agree on: options, the records of live sessions and jobs, and where Redis keeps them."""
