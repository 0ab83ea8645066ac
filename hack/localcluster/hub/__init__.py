"""A Hugging Face hub on one machine: the hub's HTTP API over local git repositories."""
