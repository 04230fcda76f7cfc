"""The reference: what a graph computes, bit for bit."""
