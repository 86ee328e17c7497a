"""Use cases of virtual power plants: thin, transactional, on the pure rules of `backend.vpp`."""
