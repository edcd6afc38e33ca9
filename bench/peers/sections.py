"""Parts of docs/guide/study.md that a script of their own writes, between marks."""


class Section:
    def __init__(self, name, title, command):
        self.begin, self.end = f"<!-- {name}: written by {command} -->", f"<!-- end of {name} -->"
        self.title, self.command = title, command

    def replaced(self, page, text):
        """The page with this part exchanged, or added at its end."""
        part = f"{self.begin}\n{text.strip()}\n{self.end}"
        if self.begin in page and self.end in page:
            return page[:page.index(self.begin)] + part + page[page.index(self.end) + len(self.end):]
        return page.rstrip("\n") + f"\n\n## {self.title}\n\n{part}\n"

    def kept(self, page):
        """This part of a page written earlier, marks included, or what says that there is none."""
        if self.begin in page and self.end in page:
            return page[page.index(self.begin):page.index(self.end) + len(self.end)]
        return f"{self.begin}\nNot measured yet: `{self.command}`.\n{self.end}"


PRUNING = Section("pruning", "Pruning", "./dev study --pruning")
LANGUAGE = Section("language", "Language models", "./dev study --language")
