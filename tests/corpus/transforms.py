"""What the corpus's pandas step calls."""


def add_margin(df, rate):
    return df.assign(margin=df["amount"] * rate)
