"""Virtual power plants: resources, forecasts, spot clearing, dispatch, baselines and their settlement."""
