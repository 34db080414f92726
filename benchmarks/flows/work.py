"""What the steps of the flows do, the same in every system."""


def step(number: float) -> float:
    """Use pandas, scikit-learn and MLflow a little; return the number and one."""
    import mlflow.models
    import pandas as pd
    from sklearn.linear_model import LinearRegression

    frame = pd.DataFrame({"x": range(16)}, dtype=float).assign(y=lambda f: 2 * f.x + number)
    line = LinearRegression().fit(frame[["x"]], frame["y"])
    signature = mlflow.models.infer_signature(frame[["x"]], frame["y"])
    return round(float(line.intercept_), 6) + len(signature.inputs.inputs)


def square(number: int) -> int:
    """Return the square: next to nothing, so that what is timed is the system."""
    return number * number
