"""Read models: the log folded by the SQL in the folder `projections/`, and the queries on them."""
