"""The rehearsal: a real OpenStack on one machine, with a small outside round it, to try the whole way on."""
