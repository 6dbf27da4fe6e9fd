"""A plugin for tests: stages that leave a trace of each document they work on, and processes that die on cue."""
