"""The chain client: typed data, packing, address book, transactions."""
