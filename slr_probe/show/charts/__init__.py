"""Parts that figures share: one palette, one canvas, heat maps, profiles and trade-offs."""
