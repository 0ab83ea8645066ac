"""The description of the public port: made of the types that parse its requests, and of the tables it answers by."""
