"""What :class:`~osiris.remote.e2b_transparent_proxy.E2BTransparentProxy` is made of.

``sdk`` is the one module that imports E2B's SDK, ``failure`` what becomes of its errors, ``backstage`` the thread in
which all of that happens. Before a run: ``options``, ``wheels``, ``requirements``, ``modules``, ``inputs`` (what has to
travel), ``cargo`` (packed), ``template``, ``berth`` (a sandbox made ready). While it goes: ``channel`` (the worker's
input and output), ``errand`` (any other command) and ``ending``, ``lease`` (the sandbox's life), ``mirror`` and
``place`` (paths and secrets there). Afterwards: ``homecoming``. ``outpost`` is the program that runs in the sandbox.
"""
