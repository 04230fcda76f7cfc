"""Networks: published ones and ours, built of cells. torch lives here."""
