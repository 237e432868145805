"""A generated world: its things and facts, and the exercises and benchmark items made from them."""
