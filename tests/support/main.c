/* SPDX-License-Identifier: BSD-3-Clause */
#include "suite.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

const char *shared_path(const char *name)
{
    static char path[1024];
    static int said;
    const char *root = getenv("NEARFAR_SHARED");
    snprintf(path, sizeof path, "%s/%s", root != NULL ? root : NF_SHARED, name);
    if (access(path, R_OK) == 0)
        return path;
    if (!said++)
        printf("skipped: no reference data beside this clone (%s)\n", name);
    return NULL;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    srunner_set_fork_status(runner, CK_NOFORK); /* a forked child has none of the threads that a team waits for */
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
