#include "cmpi_shim.h"
