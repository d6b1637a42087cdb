"""What was measured, printed as it comes, as rows of Markdown."""


class Table:
    def __init__(self):
        print("| rows | what | who | figure | target | |\n|---|---|---|---|---|---|")
        self.rows = []

    def add(self, rows, what, who, figure, target=None, met=None):
        verdict = "" if met is None else "met" if met else "**missed**"
        size = f"{rows / 1e6:g} M"
        self.rows.append([rows, what, who, figure, target, met])
        print(f"| {size} | {what} | {who} | {figure} | {target or ''} | {verdict} |", flush=True)

    def missing(self, rows, what, who):
        self.add(rows, what, who, "not installed")
