"""Sovereignty: where a class runs, who operates it and who owns the operator, judged from facts with their sources."""
