"""What `make lab` starts, seen by a reader: straight to the first chapter, no dialog, authentication on."""

FIRST = "00_the_river"
NAMES = """() => [...document.querySelectorAll('.jp-DirListing-itemText, .jp-DirListing-itemName')]
    .filter(name => !name.children.length || name.matches('.jp-DirListing-itemText'))
    .map(name => [name.textContent.trim(), name.scrollWidth - name.clientWidth])"""
ENDING = 45  # px: of a long name nothing but ".ipynb" may be cut off
DIALOGS = ".jp-Dialog, dialog[open]"
TOASTS = ".Toastify__toast"
OPENED = "() => window.jupyterapp.shell.currentWidget.context.path"
KERNEL_NAME = "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.name"


def test_the_first_chapter_opens_and_no_dialog_does(lab, address):
    assert f"/lab/tree/chapters/{FIRST}.ipynb?token=" in address  # straight to the chapter, authentication on
    chapter = lab(FIRST, address)
    try:
        page = chapter.page
        page.wait_for_timeout(2000)  # a prompt would come up now: the one about news does so after the page is restored
        assert page.locator(DIALOGS).count() == 0, page.locator(DIALOGS).all_inner_texts()
        assert page.locator(TOASTS).count() == 0, page.locator(TOASTS).all_inner_texts()
        assert page.evaluate(KERNEL_NAME) == "python3"
        names = [(name, over) for name, over in page.evaluate(NAMES) if name.endswith(".ipynb")]
        assert len(names) >= 10 and all(over < ENDING for _, over in names), f"names that are cut off: {names}"
        assert page.evaluate(OPENED) == f"chapters/{FIRST}.ipynb"
    finally:
        chapter.picture("_opened")
        chapter.close()


def test_authentication_stays_on(browser, address):
    context = browser.new_context()  # without the cookies of the other tests
    page = context.new_page()
    answer = page.goto(address.split("?")[0])
    assert "/login" in page.url or answer.status == 403
    context.close()
