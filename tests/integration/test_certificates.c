#include "tests/integration/rig.h"
