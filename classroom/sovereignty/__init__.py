"""Sovereignty: where a classroom stands, who runs it and who owns them; judged from facts that carry their source."""
