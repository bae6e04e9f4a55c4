"""The report's figures, tables and conclusions, drawn and judged anew."""
