"""The command `csdip`: flags, tables, pictures and pages around the engine of `csdip_jax.runs`.

It is no part of the API: `import csdip_jax` does not load it, and programs call the library instead.
"""
