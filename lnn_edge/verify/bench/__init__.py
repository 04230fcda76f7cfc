"""What generated code costs: fixed workloads on an emulated core, counted to the instruction."""
