"""What remains of a seam: every boundary is measured and judged."""
