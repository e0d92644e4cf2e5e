"""The rehearsal: a real OpenStack on one machine with a small simulated internet, to run the product end to end."""
