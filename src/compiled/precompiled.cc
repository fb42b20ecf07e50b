// Nothing: tests and examples share the precompiled headers of this file's target.
