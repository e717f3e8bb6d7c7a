"""`mattebox batch`: very many videos on a Ray cluster, with the plan, segment and join tasks of file jobs.

Only `ray_cluster.py` and `ray_connection.py` know Ray.
"""
