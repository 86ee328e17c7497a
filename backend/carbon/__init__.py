"""Carbon accounting: matching, both Scope 2 methods, avoided emissions, certificates (F9 to F13)."""
