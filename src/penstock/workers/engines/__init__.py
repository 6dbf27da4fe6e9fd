"""What reads PDFs: one engine a file, each behind the Protocol of `penstock.workers.engine`."""
